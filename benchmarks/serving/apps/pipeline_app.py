"""FastAPI with a transformers pipeline, as its documentation shows; MODEL_THREADS limits torch's threads."""

import os

import torch
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

if threads := os.environ.get("MODEL_THREADS"):
    torch.set_num_threads(int(threads))
classify_text = pipeline("text-classification", os.environ["MODEL_FOLDER"], device="cpu")
app = FastAPI()


class Ticket(BaseModel):
    text: str


@app.post("/classify")
def classify(ticket: Ticket) -> dict:
    return classify_text(ticket.text, truncation=True)[0]
