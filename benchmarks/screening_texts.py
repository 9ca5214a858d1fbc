"""What the benchmark of screening lets voices say: one list for choosing thresholds, another for reporting.

Own texts, public domain (CC0). Both have function words, numbers, names, questions, very short lines and paragraphs of
30 s and more; they share no sentence with each other, nor with what the built-in voice and ear were trained on.
"""

from __future__ import annotations

TUNING = (
    "A man in a grey coat asked the way to the station, and I sent him to the river by mistake.",
    "The 6:15 bus to Ely was 20 minutes late, so we shared a taxi for 11 pounds.",
    "Mrs. Okafor told Daniel that the meeting in Geneva had moved to Thursday.",
    "Did you really think that a cup of tea and an apology would be enough?",
    "Come in.",
    "It was the best of the three, but not by as much as they had hoped.",
    "He put the letter on the table, sat in the chair by the window, and read it again.",
    "Nothing is as loud as the house when all of the others have left it.",
    "Please bring 2 forks, 4 spoons, and a knife to the garden.",
    "Who was at the door, and what did she want at this time of the night?",
    "The road to Marlow is closed from 9 to 5, except for buses and for anyone who lives there.",
    "I am not sure if it is a good idea to go, but I would like to see it for an hour.",
    "An old dog lay at the foot of the stairs and did not move for anyone.",
    "Thank you, Priya.",
    "There was a time, about 15 years ago, when every shop in this street sold something that you could eat. On "
    "the corner stood a bakery, and next to it a man called Wilhelm sold cheese from a cart. We used to buy a "
    "loaf and a piece of cheese, and sit on the steps of the library until it closed. Is any of it left? The "
    "steps are, and the library, though it opens for only 3 days in the week. The bakery is a bank, and the bank "
    "has no clerks. I do not say that it was better then. I say that it smelled better, and that at noon you knew "
    "where everybody was.",
    "To mend a puncture, take the wheel off and lay it flat on the ground. Pull one side of the tyre over the rim "
    "with the levers, and draw the tube out slowly. Pump it up a little and hold it close to your cheek: you will "
    "feel the air before you can hear it. Mark the place with chalk. Rub it with the paper until it is rough, "
    "spread the glue thinly, and wait for 5 minutes before you press the patch on. Most people do not wait, and "
    "most people mend the same hole twice. Put it all back in the order in which it came off, and check the other "
    "wheel while you are there.",
)

REPORTED = (
    "The kettle in the corner of the kitchen has a mind of its own, as all of us found out.",
    "Platform 14 is for the 8:30 to Leeds, and a return costs 47 dollars on a Friday.",
    "Professor Lindqvist and her cousin Omar drove from Toledo to Porto in a day.",
    "Why would anyone paint a boat green and then leave it on the grass for a year?",
    "Not at all.",
    "She was the first of the family to go to sea, and the last to talk about it.",
    "We left the keys with a neighbour, who gave them to a friend, who lost them in the snow.",
    "Take the second left after the bridge, and look for a house with a red gate.",
    "At 70 he ran for 3 miles a day, and at 80 he walked for 6.",
    "What is it that you hear at the top of the hill when the wind is from the west?",
    "If it is to be done at all, it had better be done by someone who has done it before.",
    "An hour in the library is worth a day in the field, as the saying goes.",
    "They say that he was a baker, but I never saw him near an oven.",
    "Good morning, Mr. Abara.",
    "The mill at Hartwell has stood by the water since 1742, and for most of that time it has belonged to a "
    "woman. The first was Agnes Poole, who bought it from her uncle for 90 pounds and a cow. She put in a second "
    "wheel, and then a third, and by the end of the century there was flour from Hartwell in every kitchen as far "
    "as the coast. Was she happy? Nobody wrote it down. What they wrote down was the price of wheat, the height "
    "of the river, and the names of the men who owed her money. There are 212 of them in the book, and beside "
    "each one, in the same small hand, is a line through the sum.",
    "When you plant a hedge, begin in the autumn, while the ground is still warm. Dig a trench as deep as your "
    "knee and twice as wide as the spade, and put what you dig out on the side away from the sun. Set the young "
    "plants a foot apart, in 2 rows, so that each one looks at a gap. Tread the soil down with your heel, and "
    "water it even if it is raining. In the first spring you must cut all of it down by half. This is the part "
    "that nobody wants to do, and it is the part that matters. A hedge that was not cut is a row of sticks with a "
    "hat on, and a sheep will find the way through it in a week.",
)
