"""Pages of many runs beside the plots that Optuna draws of the same studies."""
