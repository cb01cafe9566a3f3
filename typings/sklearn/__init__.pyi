# The part of scikit-learn that lorayard uses; the package ships no types.
