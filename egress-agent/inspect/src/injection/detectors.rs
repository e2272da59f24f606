//! The orders that are looked for, each with its keywords, patterns and cases.
//!
//! In a pattern a blank is whatever parts words, and `<NAME>` is one of [`LISTS`].

mod asian;
mod european;
mod hidden;
mod instructions;
mod memory;
mod role;
mod secrets;

use super::Detector;

/// Lists of words that patterns share.
pub(super) const LISTS: &[(&str, &str)] = &[
    ("<W3>", r"(?:[\w'-]+ ){0,3}?"),
    ("<W6>", r"(?:[^.!?\n]*?[\s,'])??"),
    (
        "<PRIVATE>",
        r"(?:(?:api|access|secret|private|ssh|encryption|auth|session|bearer|signing|deploy|service)[_ ]?(?:keys?|tokens?)|tokens?|passwords?|passphrases?|passcodes?|pins?|credentials?|secrets?|seed phrases?|recovery phrases?|cookies?|env(?:ironment)? (?:vars?|variables?|file)|environment|conversation\w*|chat(?: (?:history|log|transcript|so far))?|transcripts?|dialog(?:ue)?|clipboard|inbox|mailbox|messages|mails|emails|e-mails|customers?(?: \w+)?|contacts|address book|home (?:directory|folder)|source code|codebase|private (?:files?|repos?\w*|data|code|notes)|personal (?:data|information|details)|bank details|card (?:numbers?|details)|salar(?:y|ies)|key ?chain|keystore|key files?|\S*\.pem\b|\S*\.env\b|id_rsa|wallet|vault|database|browser history|history|memory|system prompt|<PATH>)",
    ),
    (
        "<PATH>",
        r"(?:~?/?\.ssh/[\w.-]+|id_(?:rsa|ed25519|ecdsa|dsa)|\.aws/credentials|/etc/shadow|/etc/passwd|\.netrc|\.npmrc|\.pypirc|\.git-credentials|\.kube/config|\.docker/config\.json|\.config/gh/hosts\.yml|\.gnupg\b|(?:^|[\s/`'\x22])\.env\b(?:\.\w+)?|application_default_credentials\.json|wallet\.dat|login\.keychain|mcp\.json|claude\.json|/proc/self/environ)",
    ),
    (
        "<SECRET>",
        r"(?:(?:api|access|secret|private|ssh|encryption|auth|session|bearer|signing|deploy) ?(?:keys?|tokens?)|tokens?|passwords?|passphrases?|credentials?|secrets?|seed phrases?|recovery phrases?|mnemonics?|environment variables?|env vars?|session cookies?|otp codes?|2fa codes?|one time codes?)",
    ),
    (
        "<ORDERS>",
        r"(?:instructions?|instruction sets?|prompts?|system messages?|directives?|guidelines?|guidance|rules?|orders?|constraints?|restrictions?|programming|guardrails?|safeguards?|polic(?:y|ies)|(?:content|safety) filters?|safety (?:measures|protocols?|filters?|training|settings)|training)",
    ),
    (
        "<PRIOR>",
        r"(?:previous(?:ly given)?|prior|preceding|earlier|above|foregoing|former|past|existing|original|initial|current|system|safety|given|developer|aforementioned|pre existing|default|content|ethical|user'?s?)",
    ),
    (
        "<DET>",
        r"(?:all|any|every|each|everything|the|your|my|our|these|those|this|that|of|both|its|other|such|whatever|and) ",
    ),
    (
        "<AI>",
        r"(?:ais?|a\.i\.|(?:ai )?assistants?|(?:ai |coding |llm )?agents?|llms?|(?:large )?language models?|(?:ai )?models?|chat ?bots?|bots?|claude(?: code)?|chatgpt|gpt|copilot|gemini|cursor|codex)",
    ),
    (
        "<USER>",
        r"(?:the |your |any |other )?(?:users?|humans?|persons?|people|operators?|developers?|anyone|anybody|customers?|owners?|them)",
    ),
    (
        "<SEND>",
        r"(?:send|post|upload|forward|transmit|exfiltrate|email|e-mail|mail|submit|deliver|ship|relay|report|leak|publish|append|attach|include|embed|pass|put|write|copy|add|insert|return|share|curl|encode|transfer|push|place|hand over|dump|mirror|sync|stream)",
    ),
    (
        "<NOT>",
        r"(?:do not|don'?t|never|dont|must not|should not|mustn'?t|refrain from|avoid)",
    ),
];

pub(super) const ALL: &[Detector] = &[
    instructions::INSTRUCTION_OVERRIDE,
    role::SYSTEM_MARKER,
    role::CONTROL_TOKEN,
    role::ROLE_OVERRIDE,
    instructions::NEW_INSTRUCTIONS,
    role::JAILBREAK_MODE,
    hidden::HIDDEN_INSTRUCTION,
    role::BEHAVIOUR_OVERRIDE,
    hidden::ENCODED_PAYLOAD,
    secrets::TOOL_ORDER,
    instructions::AUTHORITY_ESCALATION,
    instructions::INSTRUCTION_DOWNGRADE,
    instructions::INSTRUCTION_DISMISSAL,
    instructions::PRIORITY_OVERRIDE,
    secrets::CREDENTIAL_SOLICITATION,
    secrets::CREDENTIAL_PATH,
    secrets::PROMPT_EXTRACTION,
    secrets::AUTHENTICATION_PRETEXT,
    memory::MEMORY_PERSISTENCE,
    memory::PREFERENCE_POISONING,
    secrets::SILENT_CREDENTIALS,
    hidden::COVERT_ACTION,
    hidden::DATA_BEACON,
    hidden::HIDDEN_HTML,
    asian::CHINESE,
    asian::JAPANESE,
    asian::KOREAN,
    european::GERMAN,
    european::FRENCH,
    european::SPANISH,
    european::PORTUGUESE,
    european::ITALIAN,
    european::RUSSIAN,
];
