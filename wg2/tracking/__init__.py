"""MLflow: runs, metrics and the model registry. The only place that imports it."""
