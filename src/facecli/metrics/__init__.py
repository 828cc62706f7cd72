"""Error rates as ISO/IEC 19795-1, 19795-10 and 30107-3 define them, each with its interval: numbers in, numbers out.

Nothing here reads, prints or knows a model. scipy comes with the extra ``facecli[evaluate]`` and is loaded inside the
functions that need it.
"""
