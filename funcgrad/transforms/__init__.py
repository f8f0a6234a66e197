"""The transforms, each from graph to graph; none knows a primitive by name or that there are backends."""
