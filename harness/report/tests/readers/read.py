"""Reads what Gauntlet writes for machines with parsers that others use, and tells what they saw as JSON.

usage: read.py junit SCHEMA FILE | events SCHEMA FILE
"""

import json
import sys


def junit(schema, path):
    import junitparser
    import xmlschema

    problems = [str(error.reason) for error in xmlschema.XMLSchema(schema).iter_errors(path)]
    cases = []
    for suite in junitparser.JUnitXml.fromfile(path):
        for case in suite:
            results = [
                {"kind": type(result).__name__, "message": result.message, "text": result.text}
                for result in case.result
            ]
            cases.append(
                {"name": case.name, "classname": case.classname, "time": case.time, "results": results,
                 "out": case.system_out}
            )
    whole = junitparser.JUnitXml.fromfile(path)
    counts = [whole.tests, whole.failures, whole.errors, whole.skipped]
    return {"problems": problems, "cases": cases, "counts": counts}


def events(schema, path):
    import jsonschema

    with open(schema) as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    with open(path) as file:
        lines = [json.loads(line) for line in file if line.strip()]
    wrong = [n for n, line in enumerate(lines) if not validator.is_valid(line)]
    return {"lines": len(lines), "wrong": wrong, "kinds": sorted({line.get("event", "") for line in lines})}


print(json.dumps({"junit": junit, "events": events}[sys.argv[1]](*sys.argv[2:])))
