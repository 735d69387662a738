"""The methods of phalanx.v1.Inference, asked by a client that protoc made."""
import json
import unittest

import fake
from client import pb
from grpc import StatusCode


class Generate(fake.ServerCase):
    def test_the_first_message_has_the_id_and_the_prompt(self):
        first = self.generate(request_id="mine", return_prompt_token_ids=True)[0]
        self.assertEqual(first.request_id, "mine")
        self.assertEqual(first.prompt.n_tokens, 5)
        self.assertEqual(len(first.prompt.token_ids), 5)
        self.assertFalse(first.HasField("choice"))

    def test_an_id_is_made_where_none_is_given(self):
        ids = {self.generate()[0].request_id for _ in range(3)}
        self.assertEqual(len(ids), 3)
        self.assertTrue(all(i.startswith("grpc-") for i in ids))

    def test_texts_end_to_end_are_what_the_tokens_say(self):
        choices = [m.choice for m in self.generate() if m.HasField("choice")]
        text = "".join(c.text for c in choices)
        ids = [i for c in choices for i in c.token_ids]
        said = self.stub.Detokenize(pb.DetokenizeRequest(token_ids=ids, skip_special_tokens=True))
        self.assertEqual(text, said.text)
        self.assertTrue(text.startswith("Once upon a time"))

    def test_only_the_last_message_of_a_choice_has_its_end(self):
        choices = [m.choice for m in self.generate() if m.HasField("choice")]
        self.assertEqual([c.HasField("finish") for c in choices],
                         [False] * (len(choices) - 1) + [True])
        self.assertEqual(choices[-1].finish.reason, pb.FINISH_REASON_LENGTH)
        self.assertIsNone(choices[-1].finish.WhichOneof("stop"))

    def test_the_last_message_has_the_usage(self):
        usage = self.generate(sampling=pb.Sampling(max_tokens=3, n=2))[-1].usage
        self.assertEqual((usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens),
                         (5, 6, 2))

    def test_choices_are_told_apart(self):
        answer = self.generate(sampling=pb.Sampling(n=3))
        ends = [m.choice.index for m in answer if m.choice.HasField("finish")]
        self.assertEqual(sorted(ends), [0, 1, 2])

    def test_logprobs_come_with_their_tokens(self):
        answer = self.generate(sampling=pb.Sampling(logprobs=1, max_tokens=2))
        choice = answer[1].choice
        self.assertEqual(len(choice.logprobs), len(choice.token_ids))
        entry = choice.logprobs[0].entries[1]
        self.assertEqual((entry.token_id, entry.logprob, entry.rank, entry.token),
                         (8, -1.5, 2, "$"))
        self.assertEqual(answer[-2].choice.finish.cumulative_logprob, -1.0)

    def test_without_logprobs_there_are_none(self):
        answer = self.generate(sampling=pb.Sampling(max_tokens=2))
        self.assertEqual(len(answer[1].choice.logprobs), 0)
        self.assertFalse(answer[-2].choice.finish.HasField("cumulative_logprob"))

    def test_a_prompt_of_ids_is_taken_as_it_is(self):
        request = pb.GenerateRequest(token_ids=pb.TokenIds(ids=[5, 6, 7]),
                                     return_prompt_token_ids=True)
        self.assertEqual(list(next(self.stub.Generate(request)).prompt.token_ids), [5, 6, 7])

    def test_zero_is_not_the_same_as_not_said(self):
        self.assertTrue(pb.Sampling(temperature=0).HasField("temperature"))
        self.assertFalse(pb.Sampling().HasField("temperature"))

    def test_nothing_to_answer_is_refused(self):
        error = self.fails(lambda: self.stub.Generate(pb.GenerateRequest()),
                           StatusCode.INVALID_ARGUMENT)
        self.assertEqual(fake.trailer(error, "phalanx-param"), "prompt")

    def test_an_id_that_cannot_be_written_in_a_log_is_refused(self):
        for name in ("", "x" * 49, "a=b", "a b", "a\nb", "ä"):
            error = self.fails(lambda n=name: self.stub.Generate(
                pb.GenerateRequest(text="x", request_id=n)), StatusCode.INVALID_ARGUMENT)
            self.assertEqual(fake.trailer(error, "phalanx-param"), "request_id")


class Chat(fake.ServerCase):
    def chat(self, *messages, **fields):
        return self.stub.Chat(pb.ChatRequest(messages=messages, **fields), timeout=fake.WAIT_S)

    def test_messages_are_answered(self):
        answer = list(self.chat(pb.ChatMessage(role="user", content="hello")))
        self.assertTrue("".join(m.choice.text for m in answer).startswith("Once"))

    def test_no_messages_are_refused(self):
        error = self.fails(self.chat, StatusCode.INVALID_ARGUMENT)
        self.assertEqual(fake.trailer(error, "phalanx-param"), "messages")

    def test_tools_are_json(self):
        hello = pb.ChatMessage(role="user", content="hello")
        list(self.chat(hello, tools_json=json.dumps([{"name": "search"}])))
        for bad in ("{}", "[", "nothing", "[" * 100 + "]" * 100):
            error = self.fails(lambda b=bad: self.chat(hello, tools_json=b),
                               StatusCode.INVALID_ARGUMENT)
            self.assertEqual(fake.trailer(error, "phalanx-param"), "tools_json")


class Others(fake.ServerCase):
    def test_a_text_and_its_ids_are_the_same(self):
        answer = self.stub.Tokenize(pb.TokenizeRequest(text="Once upon a time",
                                                       return_token_texts=True))
        self.assertEqual(len(answer.token_ids), len(answer.token_texts))
        back = self.stub.Detokenize(pb.DetokenizeRequest(token_ids=answer.token_ids,
                                                         skip_special_tokens=True))
        self.assertEqual(back.text, "Once upon a time")

    def test_what_spells_a_special_token_is_text(self):
        plain = self.stub.Tokenize(pb.TokenizeRequest(text="<|begin_of_text|>",
                                                      add_special_tokens=False))
        self.assertGreater(len(plain.token_ids), 1)

    def test_an_id_beyond_the_vocabulary_is_refused(self):
        error = self.fails(lambda: self.stub.Detokenize(
            pb.DetokenizeRequest(token_ids=[1, 4294967295])), StatusCode.INVALID_ARGUMENT)
        self.assertEqual(fake.trailer(error, "phalanx-param"), "token_ids")

    def test_each_input_has_a_vector(self):
        answer = self.stub.Embed(pb.EmbedRequest(inputs=[
            pb.Prompt(text="abc"), pb.Prompt(token_ids=pb.TokenIds(ids=[1, 2]))]))
        self.assertEqual([list(e.values) for e in answer.embeddings], [[3, 4, 5], [2, 3, 4]])

    def test_each_document_has_a_score(self):
        answer = self.stub.Score(pb.ScoreRequest(
            query=pb.Prompt(text="q"), documents=[pb.Prompt(text="x"), pb.Prompt(text="yyy")]))
        self.assertEqual([list(s.values) for s in answer.scores], [[1], [3]])

    def test_nothing_to_score_is_refused(self):
        for call, field in (
                (lambda: self.stub.Score(pb.ScoreRequest()), "documents"),
                (lambda: self.stub.Embed(pb.EmbedRequest()), "inputs"),
                (lambda: self.stub.Embed(pb.EmbedRequest(inputs=[pb.Prompt()])), "inputs"),
                (lambda: self.stub.Embed(pb.EmbedRequest(inputs=[pb.Prompt(text="x")] * 2049)),
                 "inputs")):
            error = self.fails(call, StatusCode.INVALID_ARGUMENT)
            self.assertEqual(fake.trailer(error, "phalanx-param"), field)

    def test_the_model_is_described(self):
        info = self.stub.GetModelInfo(pb.GetModelInfoRequest())
        self.assertEqual(list(info.names), ["demo", "also-demo"])
        self.assertEqual((info.max_model_len, info.vocab), (256, 2048))
        self.assertFalse(info.has_chat_template)

    def test_the_server_is_described(self):
        info = self.stub.GetServerInfo(pb.GetServerInfoRequest())
        self.assertEqual((info.tensor_parallel_size, info.data_parallel_size), (2, 3))
        self.assertTrue(info.is_ready)

    def test_abort_ends_a_stream(self):
        stream = self.stub.Generate(pb.GenerateRequest(text="forever", request_id="gone"))
        next(stream)
        answer = self.stub.Abort(pb.AbortRequest(request_ids=["gone", "never was"]))
        self.assertEqual(answer.n_aborted, 1)
        self.fails(lambda: stream, StatusCode.CANCELLED)


if __name__ == "__main__":
    unittest.main()
