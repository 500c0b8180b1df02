"""A whole study: methods, seeds of pretraining, tasks and numbers of labels, from one file to one report."""
