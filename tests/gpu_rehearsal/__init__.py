"""The paper's scale on a GPU that is not there: shapes, devices, waits and memory of every kind of job, and small jobs' values."""
