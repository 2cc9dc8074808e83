"""After the search: the best configuration retrained and measured on the test parts.

The only room that reads test data. `plan` says what is to be measured, `phases` does it (fit,
predict, eval), `work` runs the phases over the cores and journals them, `results` adds them up and
`outcome` reads what they added up to, without a model or a data set in sight.
"""
