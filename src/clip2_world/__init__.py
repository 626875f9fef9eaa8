"""The built-in world: generated streets, furnished rooms and single objects, in the data sets' own formats."""
