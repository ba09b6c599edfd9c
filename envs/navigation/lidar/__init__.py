"""Driving to a goal among obstacles by LiDAR, in the manner of the BARN challenge."""
