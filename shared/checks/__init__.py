"""The checks of `shared.submission`, by what a job is about. Each returns the name of the model
that the job makes or uses, if there is one: what `GET /v1/jobs?model=` finds it by."""
