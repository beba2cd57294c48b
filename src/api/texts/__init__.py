"""Texts for people, in the languages of the catalogues in `locale`."""
