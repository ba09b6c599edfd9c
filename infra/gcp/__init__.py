"""A site in Google Cloud: one module a component, put together by `site`."""
