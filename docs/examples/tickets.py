"""Write tickets.csv, the 300 made-up tickets of the quick start: every twelfth has a label at random.

python tickets.py
"""

import csv
import random
from datetime import date, timedelta

TEXTS = {
    "billing": [
        "my card was declined for the {thing}",
        "the invoice for my {thing} shows the wrong amount",
        "I was charged twice for order {number}",
        "please refund the {thing}, I cancelled it on {day}",
        "why is there a fee for the {thing} on my bill",
        "which payment do you still expect for {number}",
    ],
    "delivery": [
        "the box of the {thing} came open",
        "my parcel {number} has not moved since {day}",
        "you sent the wrong size of the {thing}",
        "nobody rang, and the {thing} went back to the depot",
        "can order {number} come on {day} instead",
        "the {thing} was left at a neighbour I do not know",
    ],
    "technical": [
        "the screen of the {thing} stays black",
        "order {number} shows a blank page",
        "the {thing} has crashed since the update on {day}",
        "I cannot log in to see {number}",
        "I cannot see it any more",
        "the {thing} says error {number} and stops",
    ],
}
THINGS = ["tablet", "lamp", "subscription", "headphones", "washing machine", "phone", "printer", "bicycle"]
ENDS = [
    "",
    ", what now",
    ", this is the second time",
    ", please help me",
    ", nobody answers the phone",
    ", it is {number}",
]
DAYS = ["Monday", "Tuesday", "Friday", "Sunday"]

draw = random.Random(0)
labels = list(TEXTS)
with open("tickets.csv", "w", encoding="utf-8", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["id", "date", "message", "category"])
    seen = set()
    while len(seen) < 300:
        place = len(seen)
        label = labels[place % 3]
        words = {"thing": draw.choice(THINGS), "number": draw.randint(100, 999), "day": draw.choice(DAYS)}
        text = (draw.choice(TEXTS[label]) + draw.choice(ENDS)).format(**words)
        if text in seen:
            continue
        seen.add(text)
        told = draw.choice(labels) if place % 12 == 7 else label
        rows.writerow([1000 + place, date(2026, 3, 1) + timedelta(place), text, told])
