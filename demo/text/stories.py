"""Short stories from a grammar: one hero, one plot, and effects that follow from their causes.

A plot is a list of sentences with slots. A slot is filled once for the whole story, so that what is
lost is also what is found, and whoever helps is the one who is thanked.
"""

ANIMALS = {  # animal: where it lives
    "fox": "den", "rabbit": "burrow", "bear": "cave", "mouse": "hole", "owl": "tree",
    "cat": "cottage", "dog": "yard", "duck": "pond", "frog": "pond", "hedgehog": "garden",
    "squirrel": "tree", "goat": "barn", "horse": "stable", "bee": "hive", "turtle": "pond",
    "wolf": "cave", "crow": "tree", "lamb": "barn", "beaver": "river", "otter": "river",
}
PEOPLE = ["girl", "boy", "baker", "farmer", "sailor", "painter", "teacher", "gardener", "miller",
          "robot", "dragon", "knight", "king", "queen", "princess", "pirate", "wizard", "giant"]
NAMES = ["Ada", "Ben", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo", "June", "Kim", "Lena",
         "Milo", "Nora", "Otto", "Pia", "Remy", "Sara", "Tom", "Uma", "Vera", "Will", "Yara", "Zoe",
         "Anna", "Max", "Lily", "Leo", "Mia", "Finn", "Rosa", "Hugo", "Ella", "Oscar", "Ruby",
         "Sam"]
ADJECTIVES = ["little", "young", "old", "kind", "shy", "brave", "clever", "quiet", "curious"]
PLACES = ["forest", "village", "valley", "meadow", "garden", "harbour", "town", "hills"]
THINGS = ["lantern", "red ball", "silver key", "blue scarf", "wooden boat", "small drum", "kite",
          "golden bell", "book", "warm hat", "green cup", "music box", "basket", "map"]
SPOTS = ["under a stone", "behind the old wall", "in the tall grass", "under the bridge",
         "near the well", "on top of a box", "behind a door", "beside the path"]
FOODS = ["bread", "apple pie", "honey cake", "soup", "berries", "cheese", "pears", "nuts"]
SKILLS = ["swim", "sing", "whistle", "skate", "paint", "dance", "read", "juggle"]
SEEDS = ["sunflower", "apple tree", "pumpkin", "rose", "bean plant"]
TIMES = ["One morning", "One day", "One evening", "On a windy day", "On a cold day",
         "One summer day"]
OPENINGS = ["Once upon a time there was a {adj} {kind} named {hero}.",
            "There was once a {adj} {kind} named {hero}.",
            "In a quiet {place} lived a {adj} {kind} named {hero}.",
            "{hero} was a {adj} {kind} who lived in the {place}.",
            "Long ago, a {adj} {kind} named {hero} lived near the {place}."]

# Each line of a plot is a choice of sentences with the same meaning.
PLOTS = {
    "lost": [
        ["{hero} had a {thing} and loved it very much.",
         "More than anything, {hero} loved a {thing}."],
        ["{time}, the {thing} was gone.", "{time}, {hero} could not find the {thing}."],
        ["{hero} looked everywhere and felt sad.",
         "{hero} looked here and there, but found nothing."],
        ["Then {friend} the {other} came by and asked, \"Why are you sad?\""],
        ["\"I have lost my {thing},\" said {hero}."],
        ["\"Let us look together,\" said {friend}.",
         "\"Two can see more than one,\" said {friend}."],
        ["They searched until {friend} saw something {spot}.",
         "They walked slowly, and {friend} looked {spot}."],
        ["It was the {thing}!", "There lay the {thing}!"],
        ["{hero} was so happy that they shared some {food}.",
         "{hero} thanked {friend}, and they ate {food} together."],
        ["From that day on, {hero} and {friend} were friends."],
    ],
    "help": [
        ["{time}, {hero} heard a small voice {spot}."],
        ["It was {friend} the {other}, who was stuck and could not get out."],
        ["{hero} was a little afraid, but pulled and pulled until {friend} was free."],
        ["\"Thank you,\" said {friend}. \"One day I will help you too.\""],
        ["Some days later, {hero} got lost in the dark.",
         "A week later, {hero} could not find the way home."],
        ["{friend} heard the call, came with a light, and showed the way.",
         "{friend} came at once and led {hero} home."],
        ["\"You helped me, so I help you,\" said {friend}."],
        ["{hero} learned that kindness comes back."],
    ],
    "learn": [
        ["{hero} wanted to learn to {skill}, but it was hard."],
        ["The first time it went wrong, and everyone laughed.",
         "At first nothing worked, and {hero} wanted to give up."],
        ["{friend} the {other} said, \"Try a little every day.\"",
         "\"Nobody can do it at once,\" said {friend} the {other}. \"Try again tomorrow.\""],
        ["So {hero} tried every day, in the sun and in the rain."],
        ["After many days, {hero} could {skill} better than anyone in the {place}.",
         "{time}, it worked, and {hero} could {skill} at last."],
        ["{friend} clapped and was proud.", "Everyone came to see it, and {friend} was proud."],
        ["{hero} smiled and said, \"Small steps go a long way.\""],
    ],
    "storm": [
        ["{time}, dark clouds came over the {place}."],
        ["{hero} saw that the roof of {friend} the {other} was broken."],
        ["\"Come to my home,\" said {hero}. \"There is room for two.\""],
        ["All night the wind was loud and the rain fell, but inside it was warm."],
        ["They ate {food} and told stories.", "They shared {food} and were not afraid."],
        ["In the morning the sun was back, and they mended the roof together."],
        ["\"Now my roof is better than before,\" said {friend}, \"and I have a friend.\""],
    ],
    "share": [
        ["{time}, {hero} made {food} for the whole day."],
        ["On the way through the {place}, {hero} met {friend} the {other}, who was hungry."],
        ["{hero} thought for a moment and gave half of the {food} to {friend}."],
        ["{friend} was glad and said, \"I have no food, but I have a {thing}.\""],
        ["So {friend} gave the {thing} to {hero}."],
        ["In the evening it was just what {hero} needed.",
         "{hero} took the {thing} home and kept it for many years."],
        ["{hero} learned that what you share becomes more."],
    ],
    "plant": [
        ["{hero} found a seed {spot} and put it in the ground."],
        ["Every day {hero} gave it water and waited."],
        ["\"Nothing happens,\" said {friend} the {other}. \"Forget it.\""],
        ["But {hero} did not forget, and gave it water again."],
        ["{time}, a small green leaf came out of the ground."],
        ["It grew and grew and became a {seed}.", "By the end of summer it was a tall {seed}."],
        ["{friend} looked at the {seed} and said, \"You were right to wait.\""],
        ["{hero} laughed, and they sat beside the {seed} until the stars came out."],
    ],
    "log": [
        ["{time}, a big log fell across the path in the {place}."],
        ["{hero} pushed, but the log was too heavy for one.",
         "{hero} pulled as hard as possible, but the log did not move."],
        ["{friend} the {other} came and pushed too, but still it did not move."],
        ["\"We push at different times,\" said {hero}. \"Let us move in step.\""],
        ["They counted to three and pushed together, and the log rolled away."],
        ["Now everyone could walk to the {place} again.", "Now the path was free again."],
        ["\"Together we are strong,\" said {friend}.", "\"In step we can do it,\" said {friend}."],
    ],
    "race": [
        ["{friend} the {other} said, \"I am faster than you.\""],
        ["\"Let us race through the {place},\" said {hero}."],
        ["{friend} ran ahead and soon was so far in front that it was time for a nap.",
         "{friend} ran fast, stopped to eat {food}, and fell asleep."],
        ["{hero} went on, step by step, and did not stop."],
        ["When {friend} woke up, {hero} was already there."],
        ["\"You were slow, but you did not stop,\" said {friend}."],
        ["They laughed and shared some {food}."],
    ],
    "dark": [
        ["{hero} was afraid of the dark."],
        ["{time}, the light went out and {hero} heard a strange sound."],
        ["Knock, knock, knock, it went.", "Tap, tap, tap, it went."],
        ["{hero} took a deep breath, opened the door, and saw {friend} the {other}."],
        ["\"I am afraid of the dark too,\" said {friend}. \"May I come in?\""],
        ["They sat together and looked at the stars.", "They lit a candle and told stories."],
        ["The dark was still there, but {hero} was not afraid any more."],
    ],
    "gift": [
        ["{hero} wanted to give {friend} the {other} a gift."],
        ["But {hero} had no money.", "But {hero} had only one coin."],
        ["So {hero} worked for three days, and with wood and string made a {thing}."],
        ["{time}, {hero} brought the {thing} to {friend}."],
        ["\"Did you make it for me?\" asked {friend}."],
        ["\"Yes,\" said {hero}, \"because you are my friend.\""],
        ["{friend} liked the {thing} better than anything from a shop."],
    ],
}
ENDINGS = ["", "", "", " The end.", " And that was a good day.", " That night everyone slept well."]

PROMPTS = ["Tell me a short story about {a_kind}.", "Tell me a story about {a_kind}.",
           "Write a short story about {a_kind}.", "Please tell me a story about {a_kind}.",
           "I would like a story about {a_kind}.", "Can you tell a story about {a_kind}?",
           "tell me a story about {a_kind}", "Write a story with {a_kind} in it."]
PROMPTS_NAMED = ["Tell me a story about {a_kind} named {hero}.",
                 "Write a short story about {hero} the {kind}.",
                 "Tell me about {hero} the {kind}."]
PROMPTS_FRIEND = ["Tell me a story about {a_kind} and {a_other}.",
                  "Write a short story about {a_kind} and {a_other}."]
PROMPTS_ANY = ["Tell me a story.", "Tell me a short story.", "Please tell me a story.",
               "Do you know a story?", "Write a short story.", "A story, please."]


def with_article(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def make_slots(rng):
    """Fill every slot of a story; hero and friend differ in name and in kind."""
    hero, friend = rng.sample(NAMES, 2)
    kinds = rng.sample(list(ANIMALS), 2)
    if rng.random() < 0.3:
        kinds[0] = rng.choice(PEOPLE)
    return {"hero": hero, "friend": friend, "kind": kinds[0], "other": kinds[1],
            "a_kind": with_article(kinds[0]), "a_other": with_article(kinds[1]),
            "adj": rng.choice(ADJECTIVES), "place": rng.choice(PLACES),
            "thing": rng.choice(THINGS), "spot": rng.choice(SPOTS), "food": rng.choice(FOODS),
            "skill": rng.choice(SKILLS), "seed": rng.choice(SEEDS), "time": rng.choice(TIMES)}


def tell(rng, slots):
    """One story with these slots."""
    lines = [rng.choice(OPENINGS)] + [rng.choice(line) for line in PLOTS[rng.choice(list(PLOTS))]]
    text = " ".join(lines).format(**slots) + rng.choice(ENDINGS)
    return text.replace("a old", "an old")


def story(rng):
    """A story alone, as a plain document."""
    return tell(rng, make_slots(rng))


def story_chat(rng):
    """A wish for a story, and a story that meets it -> (question, answer)."""
    slots = make_slots(rng)
    kinds = [PROMPTS] * 6 + [PROMPTS_NAMED] * 2 + [PROMPTS_FRIEND] + [PROMPTS_ANY]
    return rng.choice(rng.choice(kinds)).format(**slots), tell(rng, slots)
