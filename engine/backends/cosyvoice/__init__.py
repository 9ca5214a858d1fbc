"""CosyVoice 1, 2 and 3: trained and spoken with the classes of a checkout and weights that people bring."""
