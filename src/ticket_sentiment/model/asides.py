"""What stands beside an opinion in a ticket and has none of its own, or little: drawn from in model/augment.py.

None of it is out of the behaviour suite, which would otherwise ask what was learnt by heart.
"""

EMOJI = (
    "🙂", "😊", "😂", "😍", "🙏", "👌", "👏", "💯", "🔥", "✨", "⭐", "☺️", "😉", "🤔", "😐", "🙄", "😬", "😢", "😭", "😠",
    "😤", "😩", "😕", "☹️", "💔", "🤷", "📦", "📞", "⏰", "❗", "❓", "⚠️", "✅", "❌", "➡️", "📎",
    ":-)", ";-)", "=)", ":D", "xD", "^^", ":-(", ":'(", "=(", ":-/", ":|", "-_-", ">:(", "!!!", "???", "?!",
)  # fmt: skip

FOOTERS = (
    "Sent from my phone.", "Get the app for Android.", "Best regards", "Kind regards, Kim", "Thanks, Alex",
    "Greetings from Chris", "-- Sam, purchasing department", "Phone and fax as above.", "Managing director: A. Miller.",
    "Registered office in the county court's list.", "Ticket opened by the chat robot.", "Created from a phone call.",
    "Written with the contact form, page two of two.", "Device: tablet. Operating system: Android. Version: 14.",
    "Language: English. Country: Canada. Time zone: UTC.", "Category: other. Priority: normal. Status: open.",
    "If you are not the intended recipient, please delete this mail.", "All prices include value added tax.",
    "You get this mail because you have an account with us.", "To unsubscribe, follow the link below.",
    "Please keep the reference in the subject when you reply.", "On Tuesday the support team wrote:",
    "Begin of the forwarded text", "Attachment: image001.png", "See the screenshot.", "Order 48213",
)  # fmt: skip

STORIES = (
    "I bought it in a shop near the station.", "We have used it since the spring.", "There are four of us in the team.",
    "The box stands in the hall.", "I had looked at two others before.", "My sister has the same one in blue.",
    "I set it up with my neighbour at the weekend.", "We moved into a new building last year.",
    "The first floor is used by the sales people.", "I read the manual and then went to the settings.",
    "It is on the desk beside the printer.", "The order was made by our secretary.", "I am at home in the mornings.",
    "The form has three parts and I filled in the first.", "We keep all receipts in a drawer.",
    "He put the papers into an envelope.", "In our town there are two branches.", "The list is in the second column.",
)  # fmt: skip

FOREIGN = (
    "Bitte rufen Sie mich zurück.", "Mit freundlichen Grüßen", "Ich habe die Bestellung im Mai gemacht.",
    "Das Gerät steht im Büro.", "Anbei das Foto.", "Die Lieferung ist für meine Mutter.", "Vielen Dank im Voraus",
    "Merci d'avance.", "Je vous envoie la photo.", "La commande date de mardi.", "Nous habitons au deuxième étage.",
    "Cordialement", "Veuillez me rappeler demain.", "Muchas gracias.", "El pedido es del martes.", "Un saludo",
    "Les envío la foto.", "Trabajo en una oficina.", "Grazie mille", "L'ordine è di martedì.", "Abito a Torino.",
    "Obrigado desde já.", "A encomenda é de terça-feira.", "Met vriendelijke groet", "De bestelling is van dinsdag.",
    "Pozdrawiam", "Zamówienie jest z wtorku.", "Med vänlig hälsning", "Teşekkürler", "Спасибо заранее.",
    "Заказ от вторника.", "よろしくお願いします", "谢谢", "شكرا",
)  # fmt: skip

ASIDES = (EMOJI, FOOTERS, STORIES, FOREIGN)
