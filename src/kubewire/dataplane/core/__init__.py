"""What every mode shares: API objects, configuration, versions, the model, comparing, findings."""
