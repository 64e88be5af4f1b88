"""Rules, dashboards and alarms, written from params.yaml and the service's own metrics: `make monitoring`."""
