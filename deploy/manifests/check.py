"""Everything that is asked of the objects of one overlay."""

from deploy.manifests import queries, schemas
from deploy.manifests.policies import POLICIES
from deploy.manifests.references import REFERENCES
from deploy.manifests.render import Object


def errors(objects: list[Object]) -> list[str]:
    """What is wrong; policies are asked only about objects of the right form."""
    found = [error for item in objects for error in schemas.errors(item)]
    recorded = queries.recorded(objects)
    for asker, query in queries.of_objects(objects):
        found += [f"{asker}: {error}" for error in queries.errors(query, recorded)]
    if found:
        return found
    return [error for rule in (*POLICIES, *REFERENCES) for error in rule(objects)]
