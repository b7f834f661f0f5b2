"""The commands, one file per group. Each has an `app`, which `imprest_client.ctl.app` lists."""
