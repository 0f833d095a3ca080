//! What a simulated provider does with a payment: right, and nineteen ways wrong. Pure.

use crate::words::choices;

choices! {
    /// The last three digits of the phone number choose one, from 000 on in this order.
    Behaviour {
        // Paid after three seconds.
        Success = "success",
        // 1032.
        Cancelled = "cancelled",
        // 1037 after 26 seconds.
        NobodyThere = "nobody-there",
        // 1.
        NoMoney = "no-money",
        // 2001.
        WrongPin = "wrong-pin",
        // Paid, and nothing is said of it.
        CallbackLost = "callback-lost",
        // The answer to the request is lost; paid all the same.
        AnswerLost = "answer-lost",
        // The callback is there before the answer to the request.
        CallbackFirst = "callback-first",
        // The token is not good any more, once.
        TokenRevoked = "token-revoked",
        // Too many requests, once.
        SpikeArrest = "spike-arrest",
        // The confirmation of the paybill comes before the callback.
        ConfirmationFirst = "confirmation-first",
        // The callback says another amount than was paid.
        OtherAmount = "other-amount",
        // 1037; the money comes ninety seconds later by the paybill.
        LateMoney = "late-money",
        // Everything is said five times, twice at the same moment.
        FiveTimes = "five-times",
        // Everything is said ten minutes late.
        TenMinutesLate = "ten-minutes-late",
        // Questions are answered by errors and by "in process" before they are answered.
        QueryFlaps = "query-flaps",
        // The payer is busy with another prompt, twice.
        BusyTwice = "busy-twice",
        // The validation is not waited for.
        SlowValidation = "slow-validation",
        // The payer's number is masked or hashed.
        Masked = "masked",
        // 7777, which nobody has heard of; paid or not.
        UnknownCode = "unknown-code",
    }
}

impl Behaviour {
    pub const ALL: [Self; 20] = [
        Self::Success,
        Self::Cancelled,
        Self::NobodyThere,
        Self::NoMoney,
        Self::WrongPin,
        Self::CallbackLost,
        Self::AnswerLost,
        Self::CallbackFirst,
        Self::TokenRevoked,
        Self::SpikeArrest,
        Self::ConfirmationFirst,
        Self::OtherAmount,
        Self::LateMoney,
        Self::FiveTimes,
        Self::TenMinutesLate,
        Self::QueryFlaps,
        Self::BusyTwice,
        Self::SlowValidation,
        Self::Masked,
        Self::UnknownCode,
    ];

    /// Of a phone number. All that nothing is said of succeed.
    pub fn of(msisdn: &str) -> Self {
        let digits = msisdn.get(msisdn.len().saturating_sub(3)..).unwrap_or_default();
        let at = digits.parse::<usize>().ok();
        at.and_then(|at| Self::ALL.get(at)).copied().unwrap_or(Self::Success)
    }

    /// What the provider says of the prompt.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Cancelled => "1032",
            Self::NobodyThere | Self::LateMoney => "1037",
            Self::NoMoney => "1",
            Self::WrongPin => "2001",
            Self::UnknownCode => "7777",
            Self::Success
            | Self::CallbackLost
            | Self::AnswerLost
            | Self::CallbackFirst
            | Self::TokenRevoked
            | Self::SpikeArrest
            | Self::ConfirmationFirst
            | Self::OtherAmount
            | Self::FiveTimes
            | Self::TenMinutesLate
            | Self::QueryFlaps
            | Self::BusyTwice
            | Self::SlowValidation
            | Self::Masked => "0",
        }
    }

    /// Seconds until it is known.
    pub const fn takes(self) -> u64 {
        match self {
            Self::NobodyThere | Self::LateMoney => 26,
            Self::Cancelled | Self::NoMoney | Self::WrongPin => 5,
            Self::CallbackFirst => 0,
            Self::Success
            | Self::CallbackLost
            | Self::AnswerLost
            | Self::TokenRevoked
            | Self::SpikeArrest
            | Self::ConfirmationFirst
            | Self::OtherAmount
            | Self::FiveTimes
            | Self::TenMinutesLate
            | Self::QueryFlaps
            | Self::BusyTwice
            | Self::SlowValidation
            | Self::Masked
            | Self::UnknownCode => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_digits_choose() {
        for (at, behaviour) in Behaviour::ALL.into_iter().enumerate() {
            assert_eq!(Behaviour::of(&format!("254712345{at:03}")), behaviour);
        }
        assert_eq!(Behaviour::of("254712345678"), Behaviour::Success);
        assert_eq!(Behaviour::of(""), Behaviour::Success);
    }
}
