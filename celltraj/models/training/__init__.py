"""How any network here is trained, checked and resumed."""
