"""Training and checking of the two demo models in resources/models (see the model cards there)."""
