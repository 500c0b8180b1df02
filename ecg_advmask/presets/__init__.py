"""One TOML file per experiment; `ecg_advmask.config` reads them."""
