"""Go on from a fitted law of motion when a snapshot arrives, without a fit of the whole course."""
