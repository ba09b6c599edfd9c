"""What every resource of a site must be, in both clouds: rules as plain functions.

The CrossGuard pack (`__main__`), the tests and the docs' table are made from them. The first rule that a change breaks
stops it at preview.
"""
