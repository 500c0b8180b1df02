"""Raw archive to sharded TFRecords (`prepare`, `shards`) to batches (`stream`)."""
