"""Bad inputs of every class, each with what happens: a right answer or one line that explains.

Each module is one class of them, a list ``CASES``; :mod:`tests.bad_input.case` says what a case is.
``tests/test_bad_input.py`` runs them all, from Python and on the command line.
"""
