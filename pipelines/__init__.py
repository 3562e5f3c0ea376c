"""The jobs: thin Ray programs around wg2. The only place that imports ray."""
