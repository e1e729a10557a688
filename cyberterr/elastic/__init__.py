"""Speaking with Elasticsearch and OpenSearch: one connection, its requests, its refusals."""
