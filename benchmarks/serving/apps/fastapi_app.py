"""FastAPI with ONNX Runtime. The endpoint is asynchronous: a thread for each request only costs here."""

from fastapi import FastAPI
from onnx_model import OnnxModel
from pydantic import BaseModel

app = FastAPI()
model = OnnxModel()


class Ticket(BaseModel):
    text: str


class Answer(BaseModel):
    label: str
    score: float


@app.post("/classify")
async def classify(ticket: Ticket) -> Answer:
    return Answer(**model(ticket.text))
