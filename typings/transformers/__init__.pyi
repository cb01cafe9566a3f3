# The part of transformers that lorayard uses: half of pyright's time went into its 4,800 modules.
from typing import Any

AttentionInterface: Any
AttentionMaskInterface: Any
AutoConfig: Any
AutoModel: Any
AutoModelForCausalLM: Any
AutoTokenizer: Any
BertConfig: Any
BertModel: Any
ContinuousBatchingConfig: Any
GenerationConfig: Any
GgufConfig: Any
LlamaConfig: Any
LlamaForCausalLM: Any
LogitsProcessorList: Any
MinNewTokensLengthLogitsProcessor: Any
MinPLogitsWarper: Any
PreTrainedTokenizerFast: Any
RepetitionPenaltyLogitsProcessor: Any
TemperatureLogitsWarper: Any
TopKLogitsWarper: Any
TopPLogitsWarper: Any
