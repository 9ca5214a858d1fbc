"""What the benchmark of screening lets voices say: two lists for choosing thresholds, another for reporting.

Own texts, public domain (CC0). All have function words, numbers, names, questions, very short lines and paragraphs of
30 s and more; they share no sentence with each other, nor with what the built-in voice and ear were trained on.
`EARLIER` was reported, has been looked at since, and is for choosing thresholds now.
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

EARLIER = (
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
    "A lamp on the desk had burned all night, and the ink in the jar was as thick as tar.",
    "Gate 22 opens at 7:40, and a seat by the aisle is 12 pounds more than one in the back.",
    "Doctor Ferreira and Miss Nakamura took the tram from Ghent to Bruges on a Sunday.",
    "How could you know that the parcel was for me if there was no name on it?",
    "See for yourself.",
    "He is one of those who ask for the time and then tell you what it is.",
    "My aunt keeps bees in a field that she bought from the church, and sells the honey at the gate.",
    "Turn off the tap under the sink, and call me as soon as the floor is dry.",
    "By 9 there were 30 of us in the hall, and by 10 there was only me.",
    "Is it the cold that wakes you up so early, or the birds in the gutter?",
    "The less he had to say about it, the longer it took him to get to the end.",
    "A coat with a hole in it is better than a hole with a coat in it.",
    "You can see the sea from up here, though it is not much more than a line.",
    "Well done, Ingrid.",
    "The clock in the square at Velden has four faces, and no two of them agree. The one that looks to the north is "
    "9 minutes slow, because the pigeons sit on its hand. The one to the south was painted on in 1903, when the money "
    "ran out, and it has been twenty to five ever since. People who live on that side are never late for anything. "
    "Do they mind? The mayor asked them once, at a meeting in the school, and 61 of them came to say that it should "
    "stay as it is. A painted clock, said the baker, is right twice a day, and that is more than can be said for the "
    "train. So the four faces were left alone, and the bell, which is in the hands of a boy called Jonas, rings when "
    "he gets home from football.",
    "If you want to bake bread without a scale, learn what the dough should feel like and forget the rest. Put the "
    "flour in a bowl, make a hole in the middle, and pour in water that is as warm as your hand. Stir with a fork "
    "until there is nothing dry at the edge. It will stick to you, and it is supposed to. Fold it over 8 or 10 times, "
    "cover it with a cloth, and go for a walk. When you come back it will have grown, and it will be easier to talk "
    "to. Shape it on a board, let it rest for an hour, and cut the top with a sharp knife so that it knows where to "
    "open. Then it is 40 minutes in the hottest oven that you have. Knock on the bottom of the loaf: if it sounds "
    "like a door, it is done.",
)

REPORTED = (
    "The gate at the end of the lane was left open, and two of the goats are in the road.",
    "Take 4 eggs, 200 grams of sugar, and as much flour as fits in a cup.",
    "Captain Moreau and her sister Ines sailed from Cork to Lisbon in the spring.",
    "Where did you put the key to the shed when you came in from the rain?",
    "After you.",
    "It was not what he said to me, it was the way that he looked at the floor.",
    "On Monday the post comes at 11, and on the other days it comes when it likes.",
    "If I were you, I would ask for the money before I gave him the car.",
    "She has a shop by the harbour, and in the winter she lets a room to a painter.",
    "Can any of us be sure that the bridge is safe for a lorry?",
    "Of all the things that we took up the hill, the rope was the one that we had no need of.",
    "An egg in the hand is of no use to a man without a pan.",
    "I will be at the corner of Mill Street at half past 8, with a blue hat on.",
    "So do I, Matteo.",
    "There is a hole in the fence, and it is as big as the dog that made it.",
    "He sold the house to a couple from Bergen, who have not been seen in it since.",
    "The tide was out, so we walked to the island and back in under 2 hours.",
    "You may sit on this one, but the chair with the red seat belongs to the cat.",
    "What would you do with a day that no one else knew about?",
    "For a long time they thought that the noise in the wall was an owl.",
    "The school at Ardan has 3 rooms and 41 pupils, and at noon all of them eat at one table. The table was built "
    "in the room, from an oak that fell on the road in a storm, and it can not be taken out again unless somebody "
    "takes off the roof. At the top sits Miss Halloran, who has taught there since she was 22. She does not say "
    "much. If there is a quarrel, she puts the two of them side by side and has them peel potatoes until it is "
    "over. Does it work? There are fewer quarrels than there used to be, and a great many potatoes. In the spring a "
    "man came from the county to look at the books. He stayed for lunch, and it is said that he peeled 6 of them "
    "before he was allowed to leave.",
    "Before you paint a door, take it off its hinges and lay it on two chairs. Wash it with soap and let it dry in "
    "the sun. Fill the holes, and rub the whole of it with fine paper until it feels like the inside of your arm. "
    "Wipe off the dust with a damp cloth, for what you leave on it now you will see for the next 10 years. Begin "
    "with the edges, then the panels, then the long parts at the sides, and always draw the brush the way the wood "
    "runs. Put on less than you think it needs. Two thin coats are better than one, and three are better than two. "
    "In between, wait for a day. When it is dry, hang it up again, close it, and ask the others not to touch it. "
    "They will touch it.",
)
