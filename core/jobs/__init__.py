"""Background work that is no training: `engine` runs one job, `kinds` lists what there is to do."""
