"""The chapters of the story, each a function that plays in a scene."""
