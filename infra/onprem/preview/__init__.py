"""Dashboards as pictures, drawn from what a Prometheus has, for who wants to see them before there is a Grafana."""
