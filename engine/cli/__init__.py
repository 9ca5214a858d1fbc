"""The command line: every use case without a browser, one small file a page.

A verb is data: a name, what its `--help` says, its arguments, and a function from (studio, arguments) to an `Answer`.
It calls the studio and nothing below it. How answers are printed, and how errors become exit codes, is `main`'s and
`output`'s business.
"""
