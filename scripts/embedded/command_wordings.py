"""Request wordings of `command_json`: base requests and optional parts, for training and for test.

A base request is `(text, arguments)`: each `{slot}` of the text is filled from `commands.SLOTS` and
becomes the argument of that name; `arguments` adds fixed ones. Every command has its parts, which
may follow the base request.
"""

Wording = tuple[str, dict[str, object]]

TRAIN: dict[str, tuple[Wording, ...]] = {
    "wet": (
        ("Water the {bay} for {min} minutes", {}),
        ("Give the {bay} {litres} litres of water", {}),
        ("The {bay} looks dry, run the hoses for {min} minutes", {}),
        ("Please sprinkle {litres} litres over the {bay}", {}),
        ("Turn on irrigation in the {bay} and stop after {min} minutes", {}),
    ),
    "air": (
        ("Open the {flap} windows to {pct} percent", {}),
        ("Set the {flap} vents at {pct} percent", {}),
        ("Let some air in: {flap} windows, {pct} percent open", {}),
        ("Shut all the {flap} vents", {"pct": 0}),
        ("Throw the {flap} windows wide open", {"pct": 100}),
    ),
    "veil": (
        ("Draw the shade cloth over the {bay} to {pct} percent", {}),
        ("Too much sun on the {bay}, cover {pct} percent of it", {}),
        ("Pull the blinds above the {bay} {pct} percent closed", {}),
        ("Take the shading off the {bay} completely", {"pct": 0}),
        ("Shade the whole {bay}", {"pct": 100}),
    ),
    "warm": (
        ("Heat the {bay} to {deg} degrees", {}),
        ("Keep the {bay} at {deg} degrees", {}),
        ("Set the thermostat of the {bay} to {deg}", {}),
        ("It is chilly in the {bay}, bring it up to {deg} degrees", {}),
        ("I want {deg} degrees in the {bay}", {}),
    ),
    "feed": (
        ("Feed the {crop} with {ml} millilitres of {mix}", {}),
        ("Add {ml} ml of {mix} to the {crop}", {}),
        ("The {crop} need fertiliser, use {ml} ml of {mix}", {}),
        ("Dose {mix} for the {crop}, {ml} millilitres", {}),
        ("Mix {ml} ml {mix} into the tank of the {crop}", {}),
    ),
    "fog": (
        ("Mist the {crop} for {sec} seconds", {}),
        ("Spray a fine fog on the {crop} for {sec} seconds", {}),
        ("Run the foggers over the {crop}, {sec} seconds", {}),
        ("Humidity is low near the {crop}, mist them {sec} seconds", {}),
        ("Give the {crop} a {sec} second mist", {}),
    ),
    "warn": (
        ("Alert the {tell} if {probe} goes over {over}", {}),
        ("Call the {tell} when {probe} drops below {under}", {}),
        ("Send the {tell} a message once {probe} is above {over}", {}),
        ("Tell the {tell} as soon as {probe} falls under {under}", {}),
        ("Set an alarm for the {tell}: {probe} higher than {over}", {}),
    ),
    "pick": (
        ("Record a harvest of {kg} kilos of {crop}", {}),
        ("Note that we picked {kg} kg of {crop}", {}),
        ("We brought in {kg} kilos of {crop}, put it in the book", {}),
        ("Write down {kg} kilograms of {crop} harvested", {}),
        ("Today's crop: {kg} kg of {crop}", {}),
    ),
}

TEST: dict[str, tuple[Wording, ...]] = {
    "wet": (
        ("Could the {bay} get {litres} litres from the sprinklers?", {}),
        ("Start watering in the {bay}, {min} minutes will do", {}),
        ("I'd like a {min} minute soak for the {bay}", {}),
        ("Let {litres} litres flow to the {bay}", {}),
        ("Soil in the {bay} is bone dry, irrigate {min} minutes", {}),
    ),
    "air": (
        ("Ventilate through the {flap} windows, {pct} percent please", {}),
        ("Move the {flap} vents to the {pct} percent position", {}),
        ("Stuffy in here. {flap} vents to {pct} percent", {}),
        ("Close every window on the {flap} side", {"pct": 0}),
        ("All {flap} vents fully open now", {"pct": 100}),
    ),
    "veil": (
        ("The {bay} is getting scorched, put {pct} percent shade on", {}),
        ("{pct} percent on the shade screens of the {bay}", {}),
        ("Could you darken the {bay} by {pct} percent with the cloth?", {}),
        ("Roll back every blind over the {bay}", {"pct": 0}),
        ("Cover up the {bay} entirely against the sun", {"pct": 100}),
    ),
    "warm": (
        ("Raise the temperature in the {bay} to {deg}", {}),
        ("{deg} degrees for the {bay}, please", {}),
        ("Switch on the heaters in the {bay} until it has {deg} degrees", {}),
        ("The {bay} must not be colder than {deg} degrees, heat it", {}),
        ("Make the {bay} a cosy {deg} degrees", {}),
    ),
    "feed": (
        ("Let the {crop} have {ml} ml of {mix}", {}),
        ("A portion of {ml} ml {mix} goes to the {crop}", {}),
        ("Pump {mix}, {ml} millilitres, to the {crop}", {}),
        ("Our {crop} look pale. Nourish them with {mix}, {ml} ml", {}),
        ("Fertilise the {crop}, {ml} millilitres, product {mix}", {}),
    ),
    "fog": (
        ("The leaves of the {crop} are drying, fog for {sec} seconds", {}),
        ("{sec} seconds of mist on the {crop}", {}),
        ("Switch the mist nozzles by the {crop} on for {sec} seconds", {}),
        ("Can you spend {sec} seconds moistening the air round the {crop}?", {}),
        ("Fogging, {crop}, {sec} seconds", {}),
    ),
    "warn": (
        ("If {probe} climbs past {over}, let the {tell} know", {}),
        ("The {tell} wants to hear when {probe} is less than {under}", {}),
        ("Notify the {tell} in case {probe} sinks beneath {under}", {}),
        ("Should {probe} exceed {over}, ring the {tell}", {}),
        ("Watch {probe} and inform the {tell} at anything over {over}", {}),
    ),
    "pick": (
        ("{kg} kilos of {crop} came off the plants, log it", {}),
        ("Please enter {kg} kg {crop} into the harvest list", {}),
        ("The team cut {kg} kilograms of {crop}", {}),
        ("Yield of the {crop} was {kg} kilos", {}),
        ("Add {kg} kilos of freshly gathered {crop} to the record", {}),
    ),
}

# Optional parts: command -> texts; the slot is the argument.
TRAIN_PARTS: dict[str, tuple[Wording, ...]] = {
    "wet": ((" at {at}", {}), (" starting at {at}", {}), (" every {days} days", {})),
    "air": ((" until {till}", {}), (" and close them at {till}", {})),
    "veil": ((" until {till}", {}), (" from {at}", {})),
    "warm": ((" until {till}", {}), (" from {at} on", {})),
    "feed": ((" every {days} days", {}), (" at {at}", {})),
    "fog": ((", once every {gap} minutes", {}), (" and repeat after {gap} minutes", {})),
    "warn": ((", but only at night", {"span": "night"}), (" during the day", {"span": "day"})),
    "pick": ((", first class", {"grade": 1}), (", second class", {"grade": 2})),
}
TEST_PARTS: dict[str, tuple[Wording, ...]] = {
    "wet": ((", beginning at {at}", {}), (", again every {days} days", {})),
    "air": ((", and keep it so till {till}", {}), (", ending at {till}", {})),
    "veil": ((", staying like that till {till}", {}), (", as of {at}", {})),
    "warm": ((", up to {till}", {}), (", beginning at {at}", {})),
    "feed": ((", with {days} days between doses", {}), (", the time is {at}", {})),
    "fog": ((", with pauses of {gap} minutes", {}), (", each {gap} minutes", {})),
    "warn": ((", at night only", {"span": "night"}), (", by day only", {"span": "day"})),
    "pick": ((", grade one", {"grade": 1}), (", grade two", {"grade": 2})),
}
