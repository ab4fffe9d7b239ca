"""Jump processes: cells that change from one state to another at constant rates."""
