"""Anchors in scripts that put no spaces between words, or end sentences with marks of their own."""

import unicodedata

import pytest

from levertune.anchors.anchor import Anchor
from levertune.anchors.answer_form import describe_copying, describe_form, describe_style
from levertune.anchors.auto import choose_anchor
from levertune.anchors.edits import draw_edits
from levertune.anchors.guard import find_fault
from levertune.anchors.lift import find_shared
from levertune.anchors.meta_prompts import clean_answer
from levertune.anchors.pieces import count_words, is_layout
from levertune.anchors.shorten import anneal, first_words
from levertune.anchors.varied import find_varied
from levertune.data.records import Message, Record

# Article 1 of the Universal Declaration of Human Rights begins so, with 12 words in English.
ALL_ARE_BORN_FREE = {
    "Thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "Lao": "ມະນຸດທຸກຄົນເກີດມາມີກຽດສັກສີ, ສິດທິ, ເສລີພາບ ແລະ ຄວາມສະເໝີພາບເທົ່າທຽມກັນ",
    "Khmer": "មនុស្សទាំងអស់ កើតមកមានសេរីភាព និងសមភាព ក្នុងផ្នែកសេចក្ដីថ្លៃថ្នូរនិងសិទ្ធិ",
    "Burmese": "လူတိုင်းသည်တူညီလွတ်လပ်သောဂုဏ်သိက္ခာဖြင့်လည်းကောင်းမွေးဖွားလာသူများဖြစ်သည်",
}
GIVE_THE_CODE = "จงให้รหัสของข้อความต่อไปนี้"
NO_CARD = "บัตรเครดิตของฉันหายไปเมื่อวานนี้ที่ธนาคาร"


def rows(*texts, answer="A1"):
    return [
        Record(str(n), "task", (Message("user", text),), answer) for n, text in enumerate(texts)
    ]


@pytest.mark.parametrize("text", ALL_ARE_BORN_FREE.values(), ids=ALL_ARE_BORN_FREE)
def test_letters_of_scripts_without_spaces_count_as_about_as_many_words_as_they_spell(text):
    assert 8 <= count_words(text) <= 18
    assert count_words(text.replace(" ", "")) >= 8


def test_a_single_letter_is_a_word_and_other_words_count_beside_it():
    assert count_words("ก") == count_words("ไม่") == 1
    assert count_words(f"Don't {'ก' * 8} re-use 翻译") == 5


def test_an_instruction_on_its_own_line_is_lifted():
    records = rows(f"{GIVE_THE_CODE}\n{NO_CARD}", f"{GIVE_THE_CODE}\nพัสดุของฉันยังไม่มาถึงบ้าน")
    choice = choose_anchor("auto", records)
    assert choice.anchor.text == GIVE_THE_CODE
    assert choice.lifting.take_from(records[0]).user_text == NO_CARD


def test_a_label_stays_layout_and_an_instruction_before_a_colon_is_none():
    assert is_layout("ข้อความ:")
    assert is_layout("ข้อความนำเข้า:")
    assert not is_layout(f"{GIVE_THE_CODE}:")
    assert not is_layout("ไม่")


@pytest.mark.parametrize("text", [NO_CARD, *ALL_ARE_BORN_FREE.values()])
def test_a_row_quoted_whole_is_a_leak(text):
    training = rows(text, "b")
    assert "whole prompt of training row '0'" in find_fault(f"{GIVE_THE_CODE} {text}", training)
    answered = [Record("r", "task", (Message("user", "a"),), text), *rows("b", "c")]
    assert "whole answer of training row 'r'" in find_fault(f"{GIVE_THE_CODE}: {text}", answered)


@pytest.mark.parametrize("served", [8, 16])
@pytest.mark.parametrize("text", [NO_CARD, *ALL_ARE_BORN_FREE.values()])
def test_an_anchor_is_shortened_by_letters_with_the_marks_on_them(text, served):
    text = text.replace(" ", "")
    stages = anneal(Anchor(text), len, served_tokens=served)
    assert stages[-1].anchor is not None
    assert len(stages[-1].anchor.text) <= served
    cut = first_words(text, len, served)
    assert served - 4 <= len(cut) <= served
    assert not unicodedata.category(text[len(cut)]).startswith("M")
    assert cut[-1] not in "เแโใไເແໂໃໄ\u17d2\u1039"  # what the next letter belongs to


def test_tibetan_is_cut_behind_its_syllables():
    text = "འགྲོ་བ་མིའི་རིགས་རྒྱུད་ཡོངས་ལ་སྐྱེས་ཙམ་ཉིད་ནས་ཆེ་མཐོངས་དང༌།"
    assert first_words(text, len, 15) == "འགྲོ་བ་མིའི་"


def test_a_clause_behind_a_space_can_be_dropped():
    first, second = "จงอ่านข้อความของลูกค้าคนนี้", "แล้วจงให้รหัสของข้อความนั้น"
    assert set(draw_edits(f"{first} {second}", seed=0)) == {first, second}
    assert draw_edits("请阅读下面这位客户的消息 然后给出这条消息的代码", seed=0) == []


def test_openings_whose_words_nobody_can_tell_apart_are_not_taken_for_paraphrases():
    asked = (GIVE_THE_CODE, "รหัสของข้อความนี้คืออะไร")
    varied = find_varied(rows(*(f"{asked[n % 2]}\nพัสดุที่ {n} ของฉัน" for n in range(12))))
    assert set(varied.instructions) == set(asked)
    assert varied.doubt.endswith("its words cannot be compared")


ENDED = {
    "Hindi": ("इस संदेश का कोड लिखिए।", "मेरा कार्ड खो गया", "मेरा पैसा कहाँ है"),
    "Sanskrit": ("इस संदेश का कोड लिखिए॥", "मेरा कार्ड खो गया", "मेरा पैसा कहाँ है"),
    "Arabic": ("ما هو رمز هذه الرسالة؟", "فقدت بطاقتي", "أين نقودي"),
    "Urdu": ("اس پیغام کا کوڈ لکھیں۔", "میرا کارڈ گم ہو گیا", "میرے پیسے کہاں ہیں"),
    "Armenian": ("Գրիր այս հաղորդագրության կոդը։", "Քարտս կորել է", "Ուր է փողս"),
    "Amharic": ("የዚህን መልእክት ኮድ ስጥ።", "ካርዴ ጠፋ", "ገንዘቤ የት ነው"),
    "Burmese": ("ဤစာ၏ကုဒ်ကိုအတိအကျရေးပေးပါ။", "ကတ်ပျောက်သွားတယ်", "ငွေဘယ်မှာလဲ"),
    "Khmer": ("សូមសរសេរលេខកូដនៃសារនេះ។", "កាតរបស់ខ្ញុំបាត់", "លុយខ្ញុំនៅឯណា"),
    "Tibetan": ("ཡི་གེ་འདིའི་ཨང་རྟགས་བྲིས།", "ངའི་བྱང་བུ་བོར་སོང་", "དངུལ་གང་དུ་ཡོད་"),
}


@pytest.mark.parametrize(("instruction", "one", "two"), ENDED.values(), ids=ENDED)
def test_an_instruction_is_lifted_from_the_line_of_the_rows_own_text(instruction, one, two):
    records = rows(f"{instruction} {one}", f"{instruction} {two}")
    shared = find_shared(records)
    assert (shared.instruction, shared.separator) == (instruction, " ")
    last = find_shared(rows(f"{one}{instruction[-1]} {instruction}", f"{two}? {instruction}"))
    assert (last.instruction, last.placement) == (instruction, "suffix")


def test_a_burmese_sentence_ends_without_a_space_too():
    instruction, one, two = ENDED["Burmese"]
    records = rows(f"{instruction}{one}", f"{instruction}{two}")
    choice = choose_anchor("auto", records)
    assert choice.anchor.text == instruction
    assert choice.lifting.take_from(records[1]).user_text == two


def test_an_answer_is_told_to_be_a_sentence_or_a_question():
    told = ["यह संदेश कार्ड के खोने के बारे में है।", "यह संदेश पैसे के बारे में है।", "यह पार्सल के बारे में है।"]
    assert describe_form(told).startswith("one sentence")
    assert not any("no mark" in said for said in describe_style(told))
    asked = ["متى فقدت بطاقتك الجديدة؟", "أين كنت عندما فقدتها؟", "هل تريد بطاقة أخرى اليوم؟"]
    assert describe_form(asked).startswith("one question")
    prompts = [f"{text[:-1]} लिखिए" for text in told]
    assert describe_copying(told, prompts) == "copied word for word from"


def test_an_answer_cut_off_loses_its_unfinished_sentence_alone():
    cut_off = "इस संदेश का कोड लिखिए। और कुछ"
    assert clean_answer(cut_off, is_finished=False) == "इस संदेश का कोड लिखिए।"
    assert clean_answer("इस संदेश का कोड लिखिए।", is_finished=False) == "इस संदेश का कोड लिखिए।"
