"""CosyVoice 2 and 3: trained and spoken with upstream's own classes, from a checkout and weights that people bring."""
