"""What Kibana is given: a data view, dashboards, searches and a rule, made from the contracts."""
