"""The typed client of the HTTP API: `Holotype` waits, `AsyncHolotype` awaits, and both say the same.

No part of the service but its errors is needed by it.
"""

from service.client.asynchronous import AsyncHolotype
from service.client.problems import ApiProblem
from service.client.retrying import Retrying
from service.client.routes.jobs import Picture
from service.client.synchronous import Holotype
from service.client.uploads import Upload, folder_pictures

__all__ = ["ApiProblem", "AsyncHolotype", "Holotype", "Picture", "Retrying", "Upload", "folder_pictures"]
