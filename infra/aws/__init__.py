"""A site in AWS: one module a component, put together by `site`."""
