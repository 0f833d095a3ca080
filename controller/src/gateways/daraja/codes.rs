//! What M-Pesa's result codes mean. Pure.
//!
//! The text beside a code differs from channel to channel and is never looked at.

use super::super::Verdict;

/// Of a prompt on the phone, in a callback.
pub(super) fn of_prompt(code: &str) -> Verdict {
    match code {
        // No balance; below, above, over the day's, over the balance's limit; the same again
        // within two minutes; the prompt did not get there; cancelled; wrong PIN.
        // Ours to mend: 2028 the product, 8006 the credential, SFC_IC0003 the initiator.
        "1" | "2" | "3" | "4" | "8" | "17" | "1025" | "9999" | "1032" | "2001" | "2028"
        | "8006" | "SFC_IC0003" => Verdict::Failed,
        // Query only.
        "4999" => Verdict::Pending,
        // 1019 expired and 1037 no answer are said of prompts that were paid after all.
        _ => Verdict::Unknown,
    }
}

/// The same, said by the provider when it was asked. It does not say 1037 of what was paid.
pub(super) fn of_query(code: &str) -> Verdict {
    match code {
        "1037" => Verdict::Failed,
        _ => of_prompt(code),
    }
}

/// Of a payout or a reversal.
pub(super) fn of_result(code: &str) -> Verdict {
    match code {
        "1" | "2" | "3" | "4" | "8" | "11" | "21" | "2001" | "2006" | "2028" | "2040" | "8006"
        | "SFC_IC0003" | "R000002" => Verdict::Failed,
        _ => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_knows_is_no_failure() {
        for (code, want) in [
            ("1032", Verdict::Failed),
            ("1037", Verdict::Unknown),
            ("1019", Verdict::Unknown),
            ("7777", Verdict::Unknown),
            ("4999", Verdict::Pending),
            ("", Verdict::Unknown),
        ] {
            assert_eq!(of_prompt(code), want, "{code}");
        }
        assert_eq!(of_query("1037"), Verdict::Failed);
        assert_eq!(of_query("7777"), Verdict::Unknown);
        assert_eq!(of_result("9"), Verdict::Unknown);
    }
}
